#include "cria/report/inline_svg.h"

#include <algorithm>
#include <array>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "cria/core/error.h"
#include "cria/report/plot.h"

namespace cria {

namespace {

using Element = boost::property_tree::ptree;

constexpr std::array<std::string_view, 13> kElements = {
    "g",       "path", "rect",  "circle", "ellipse", "line", "polyline",
    "polygon", "text", "tspan", "use",    "defs",    "image"};

constexpr std::array<std::string_view, 34> kAttributes = {"x",
                                                          "y",
                                                          "x1",
                                                          "x2",
                                                          "y1",
                                                          "y2",
                                                          "dx",
                                                          "dy",
                                                          "cx",
                                                          "cy",
                                                          "r",
                                                          "rx",
                                                          "ry",
                                                          "width",
                                                          "height",
                                                          "d",
                                                          "points",
                                                          "transform",
                                                          "fill",
                                                          "fill-opacity",
                                                          "stroke",
                                                          "stroke-width",
                                                          "stroke-opacity",
                                                          "stroke-linecap",
                                                          "stroke-linejoin",
                                                          "stroke-dasharray",
                                                          "color",
                                                          "opacity",
                                                          "font-size",
                                                          "font-weight",
                                                          "font-style",
                                                          "text-anchor",
                                                          "dominant-baseline",
                                                          "preserveAspectRatio"};

template <typename Names>
bool is_among(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// #rrggbb of that, of "rgb(r, g, b)" and of two names; nothing for another way to say a colour.
std::optional<std::string> hexadecimal(const std::string& colour) {
  if (colour == "black") return "#000000";
  if (colour == "white") return "#ffffff";
  std::string lower = colour;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower.size() == 7 && lower[0] == '#') return lower;
  int r = 0, g = 0, b = 0;
  if (std::sscanf(lower.c_str(), "rgb(%d,%d,%d)", &r, &g, &b) != 3) return std::nullopt;
  return fmt::format("#{:02x}{:02x}{:02x}", r & 255, g & 255, b & 255);
}

// The page's variable for a colour of plot.h.
std::string themed(const std::string& colour) {
  const std::optional<std::string> hex = hexadecimal(colour);
  if (!hex) return colour;
  if (*hex == kInk) return "var(--plot-ink)";
  if (*hex == kGridColour) return "var(--plot-grid)";
  if (*hex == "#ffffff") return "var(--plot-paper)";
  for (size_t i = 0; i < kPalette.size(); ++i) {
    if (*hex == kPalette[i]) return fmt::format("var(--series-{})", i);
  }
  return colour;
}

class Writer {
 public:
  Writer(std::string id, std::set<std::string> used) : id_(std::move(id)), used_(std::move(used)) {}

  // Empty for what draws nothing.
  std::string element(const std::string& name, const Element& element, bool in_definitions) {
    if (!is_among(kElements, name)) return {};
    std::string attributes, content;
    const bool defines = in_definitions || name == "defs";
    for (const auto& [child_name, child] : element) {
      if (child_name == "<xmlattr>") {
        for (const auto& [key, value] : child) attributes += attribute(name, key, value.data());
      } else if (child_name == "<xmltext>") {
        if (name == "text" || name == "tspan") content += escaped_html(child.data());
      } else {
        content += this->element(child_name, child, defines);
      }
    }
    const bool is_group = name == "g" || name == "text" || name == "defs";
    if (is_group && content.empty()) return {};
    // gnuplot defines a dozen marks, and uses one.
    if (in_definitions && attributes.find(" id=") == std::string::npos) return {};
    if (content.empty()) return fmt::format("<{}{}/>", name, attributes);
    return fmt::format("<{0}{1}>{2}</{0}>", name, attributes, content);
  }

 private:
  std::string attribute(const std::string& element, const std::string& name,
                        const std::string& value) {
    if (name == "id") return used_.contains(value) ? written("id", id_ + value) : "";
    if (name == "href" || name == "xlink:href") {
      if (element == "use" && value.starts_with('#')) {
        return written("href", "#" + id_ + value.substr(1));
      }
      const bool is_picture = element == "image" && value.starts_with("data:image/png;base64,");
      return is_picture ? written("href", value) : "";
    }
    if (!is_among(kAttributes, name) || value.find("url(") != std::string::npos) return {};
    const bool is_colour = name == "fill" || name == "stroke" || name == "color";
    return written(name, is_colour ? themed(value) : value);
  }

  static std::string written(const std::string& name, const std::string& value) {
    return fmt::format(" {}=\"{}\"", name, escaped_html(value));
  }

  const std::string id_;
  const std::set<std::string> used_;
};

// The ids that are referred to.
void find_used(const Element& element, std::set<std::string>& used) {
  for (const auto& [name, child] : element) {
    if (name != "<xmlattr>") {
      find_used(child, used);
      continue;
    }
    for (const char* key : {"href", "xlink:href"}) {
      const auto found = child.find(key);
      if (found == child.not_found()) continue;
      const std::string& target = found->second.data();
      if (target.starts_with('#')) used.insert(target.substr(1));
    }
  }
}

// "0 0 WIDTH HEIGHT", from the attribute or from a size in pixels.
std::string view_box(const Element& svg) {
  std::string box = svg.get("<xmlattr>.viewBox", "");
  if (!box.empty()) return box;
  const auto pixels = [&](const char* name) {
    return std::atof(svg.get(std::string("<xmlattr>.") + name, "0").c_str());
  };
  return fmt::format("0 0 {} {}", pixels("width"), pixels("height"));
}

}  // namespace

std::string inline_svg(const std::string& svg, const std::string& id, const std::string& label,
                       const std::string& where) {
  Element document;
  try {
    std::istringstream stream(svg);
    boost::property_tree::read_xml(stream, document,
                                   boost::property_tree::xml_parser::no_comments |
                                       boost::property_tree::xml_parser::no_concat_text);
  } catch (const boost::property_tree::xml_parser_error& error) {
    throw input_error(fmt::format("{}:{}", where, error.line()),
                      "the SVG is not well-formed: " + error.message());
  }
  const auto root = document.find("svg");
  if (root == document.not_found()) throw input_error(where, "holds no SVG");
  std::set<std::string> used;
  find_used(root->second, used);
  Writer writer(id + "-", used);
  std::string content;
  for (const auto& [name, child] : root->second) content += writer.element(name, child, false);
  return fmt::format("<svg viewBox=\"{}\" role=\"img\" aria-label=\"{}\">{}</svg>",
                     escaped_html(view_box(root->second)), escaped_html(label), content);
}

std::string escaped_html(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
          out += "\uFFFD";
        } else {
          out += c;
        }
    }
  }
  return out;
}

}  // namespace cria
