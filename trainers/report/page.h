// The parts that a report's page is made of. All text that is handed over is plain text: it is
// escaped here and nowhere else. The markup is well-formed XML too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cria/report/plot.h"

namespace cria {

// Four significant digits, "-" for what is not finite.
std::string number(double value);
std::string percent(double share);       // 0.6712 -> "67.1%"
std::string whole_number(double value);  // 1945600 -> "1,945,600"

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  size_t names = 1;           // columns that name a row; figures stand to the right of them
  bool last_is_text = false;  // the last column is text too

  bool empty() const { return rows.empty(); }
};
std::string plain_text(const Table& table);  // for a terminal

// A part of the page under a heading of its own, left out when nothing is put in.
class Section {
 public:
  Section(std::string id, std::string title) : id_(std::move(id)), title_(std::move(title)) {}

  const std::string& id() const { return id_; }
  const std::string& title() const { return title_; }
  bool empty() const { return content_.empty(); }

  void paragraph(const std::string& text);
  void heading(const std::string& text);
  void table(const Table& table, const std::string& caption = {});
  // Figures one after the other stand side by side where there is room. A plot without a point is
  // left out.
  void figure(const Plot& plot, const std::string& caption);
  // An SVG from a file, `path`; wider than a figure.
  void picture(const std::string& svg, const std::string& path, const std::string& title,
               const std::string& caption);
  // Closed until it is asked for.
  void details(const std::string& summary, const std::string& text);
  // A prompt, and beneath it each stage's answer.
  struct Answer {
    std::string stage, text;
  };
  void dialogue(const std::string& prompt, const std::vector<Answer>& answers);

  std::string html() const;

 private:
  void begin_other_than_figure();
  void add_figure(const std::string& svg, const std::string& title, const std::string& legend,
                  const std::string& caption, const char* css_class);

  const std::string id_;
  const std::string title_;
  std::string content_;
  bool in_figures_ = false;
  int figures_ = 0;
};

// The whole file: head with the styles, title, table of contents, sections.
std::string page_html(const std::string& title, const std::string& subtitle,
                      const std::vector<Section>& sections);

// The page's styles (stylesheet.cpp).
extern const char* const kStylesheet;

}  // namespace cria
