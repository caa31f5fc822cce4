// Whether a page is well-formed, as XML is: every element closed in its order, every attribute
// quoted, no loose < or &.
#pragma once

#include <cctype>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace cria::testing {

inline void expect_well_formed(const std::string& page) {
  std::vector<std::string> open;
  const auto context = [&](size_t at) { return page.substr(at, 80); };
  size_t at = page.find("<html");
  ASSERT_NE(at, std::string::npos);
  while (at < page.size()) {
    if (page[at] == '&') {
      const size_t end = page.find(';', at);
      ASSERT_TRUE(end != std::string::npos && end - at <= 6) << "a loose & at " << context(at);
      at = end + 1;
      continue;
    }
    ASSERT_NE(page[at], '>') << "a loose > before " << context(at);
    if (page[at] != '<') {
      ++at;
      continue;
    }
    const bool closes = page[at + 1] == '/';
    size_t end = at + (closes ? 2 : 1);
    std::string name;
    while (std::isalnum(static_cast<unsigned char>(page[end]))) name += page[end++];
    ASSERT_FALSE(name.empty()) << "a loose < at " << context(at);
    while (end < page.size() && page[end] != '>') {
      if (page[end] == '=') {
        ASSERT_EQ(page[end + 1], '"') << "an attribute without quotes in " << context(at);
        end = page.find('"', end + 2);
        ASSERT_NE(end, std::string::npos) << context(at);
      }
      ASSERT_NE(page[end], '<') << "a tag that does not end: " << context(at);
      ++end;
    }
    if (closes) {
      ASSERT_FALSE(open.empty()) << "nothing is open before " << context(at);
      ASSERT_EQ(open.back(), name) << "at " << context(at);
      open.pop_back();
    } else if (page[end - 1] != '/') {
      open.push_back(name);
    }
    at = end + 1;
    if (name == "style" && !closes) at = page.find("</style>", at);  // no markup in there
  }
  EXPECT_TRUE(open.empty()) << open.back() << " is left open";
}

}  // namespace cria::testing
