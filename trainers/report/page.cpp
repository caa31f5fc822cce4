#include "trainers/report/page.h"

#include <algorithm>
#include <cmath>

#include "cria/core/error.h"
#include "cria/report/inline_svg.h"

namespace cria {

namespace {

// Characters as a terminal counts them, as long as they are one column each.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool is_left(const Table& table, size_t column) {
  return column < table.names || (table.last_is_text && column + 1 == table.header.size());
}

bool has_point(const PlotSeries& series) {
  return std::any_of(series.points.begin(), series.points.end(), [](const auto& point) {
    return std::isfinite(point.first) && std::isfinite(point.second);
  });
}

// A line as the curve has it, and its label.
std::string legend_of(const Plot& plot) {
  if (std::count_if(plot.series.begin(), plot.series.end(), has_point) < 2) return {};
  std::string items;
  for (const PlotSeries& series : plot.series) {
    if (!has_point(series)) continue;
    const size_t colour = static_cast<size_t>(series.colour) % kPalette.size();
    const std::string mark = series.joined
                                 ? fmt::format(
                                       "<path d=\"M1 5h22\" stroke=\"var(--series-{})\" "
                                       "stroke-width=\"2.5\"{}/>",
                                       colour, series.dashed ? " stroke-dasharray=\"5 3.5\"" : "")
                                 : fmt::format(
                                       "<circle cx=\"12\" cy=\"5\" r=\"4\" "
                                       "fill=\"var(--series-{})\"/>",
                                       colour);
    items += fmt::format(
        "<li><svg class=\"key\" viewBox=\"0 0 24 10\" aria-hidden=\"true\">{}</svg>{}</li>", mark,
        escaped_html(series.label));
  }
  return "<ul class=\"legend\">" + items + "</ul>";
}

}  // namespace

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "-";
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}%", 100 * share) : "-";
}

std::string whole_number(double value) {
  if (!std::isfinite(value)) return "-";
  std::string digits = fmt::format("{:.0f}", value);
  const int first = value < 0 ? 1 : 0;
  for (auto at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string plain_text(const Table& table) {
  std::vector<size_t> widths(table.header.size(), 0);
  for (size_t c = 0; c < widths.size(); ++c) {
    widths[c] = width_of(table.header[c]);
    for (const auto& row : table.rows) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t c = 0; c < cells.size(); ++c) {
      const std::string space(widths[c] - width_of(cells[c]), ' ');
      text += (c > 0 ? "  " : "") + (is_left(table, c) ? cells[c] + space : space + cells[c]);
    }
    return text.erase(text.find_last_not_of(' ') + 1) + "\n";
  };
  std::string text = line(table.header);
  for (const auto& row : table.rows) text += line(row);
  return text;
}

void Section::begin_other_than_figure() {
  if (in_figures_) content_ += "</div>\n";
  in_figures_ = false;
}

void Section::paragraph(const std::string& text) {
  begin_other_than_figure();
  content_ += "<p>" + escaped_html(text) + "</p>\n";
}

void Section::heading(const std::string& text) {
  begin_other_than_figure();
  content_ += "<h3>" + escaped_html(text) + "</h3>\n";
}

void Section::table(const Table& table, const std::string& caption) {
  begin_other_than_figure();
  const auto cells = [&](const std::vector<std::string>& row, bool is_header) {
    std::string html = "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      const char* element = is_header || c == 0 ? "th" : "td";
      const char* scope = is_header ? " scope=\"col\"" : c == 0 ? " scope=\"row\"" : "";
      html += fmt::format("<{0}{1}{2}>{3}</{0}>", element, scope,
                          is_left(table, c) ? "" : " class=\"number\"", escaped_html(row[c]));
    }
    return html + "</tr>\n";
  };
  if (!caption.empty()) content_ += "<p class=\"caption\">" + escaped_html(caption) + "</p>\n";
  content_ += "<div class=\"table\" tabindex=\"0\"><table>\n";
  content_ += "<thead>" + cells(table.header, true) + "</thead>\n<tbody>";
  for (const auto& row : table.rows) content_ += cells(row, false);
  content_ += "</tbody></table></div>\n";
}

void Section::add_figure(const std::string& svg, const std::string& title,
                         const std::string& legend, const std::string& caption,
                         const char* css_class) {
  if (!in_figures_) content_ += "<div class=\"figures\">\n";
  in_figures_ = true;
  content_ += fmt::format("<figure{}><h4>{}</h4>{}{}<figcaption>{}</figcaption></figure>\n",
                          css_class[0] == '\0' ? "" : fmt::format(" class=\"{}\"", css_class),
                          escaped_html(title), legend, svg, escaped_html(caption));
}

void Section::figure(const Plot& plot, const std::string& caption) {
  if (std::none_of(plot.series.begin(), plot.series.end(), has_point)) return;
  const std::string id = fmt::format("{}-{}", id_, ++figures_);
  const std::string svg = inline_svg(render_small_svg(plot), id, plot.title, "gnuplot");
  add_figure(svg, plot.title, legend_of(plot), caption, "");
}

void Section::picture(const std::string& svg, const std::string& path, const std::string& title,
                      const std::string& caption) {
  const std::string id = fmt::format("{}-{}", id_, ++figures_);
  add_figure(inline_svg(svg, id, title, path), title, "", caption, "wide");
}

void Section::details(const std::string& summary, const std::string& text) {
  begin_other_than_figure();
  content_ += fmt::format("<details><summary>{}</summary><pre>{}</pre></details>\n",
                          escaped_html(summary), escaped_html(text));
}

void Section::dialogue(const std::string& prompt, const std::vector<Answer>& answers) {
  begin_other_than_figure();
  content_ +=
      "<article class=\"dialogue\"><p class=\"prompt\">" + escaped_html(prompt) + "</p><dl>";
  for (const Answer& answer : answers) {
    content_ += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escaped_html(answer.stage),
                            answer.text.empty() ? "<em>nothing</em>" : escaped_html(answer.text));
  }
  content_ += "</dl></article>\n";
}

std::string Section::html() const {
  return fmt::format("<section id=\"{}\"><h2>{}</h2>\n{}{}</section>\n", id_, escaped_html(title_),
                     content_, in_figures_ ? "</div>\n" : "");
}

std::string page_html(const std::string& title, const std::string& subtitle,
                      const std::vector<Section>& sections) {
  std::string contents, body;
  for (const Section& section : sections) {
    if (section.empty()) continue;
    contents +=
        fmt::format("<li><a href=\"#{}\">{}</a></li>", section.id(), escaped_html(section.title()));
    body += section.html();
  }
  // The policy makes sure of what the page promises: nothing is fetched, nothing is run.
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; "
      "style-src &#39;unsafe-inline&#39;; img-src data:\"/>\n"
      "<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n"
      "<header><h1>{0}</h1>\n<p>{2}</p>\n<nav aria-label=\"Contents\"><ul>{3}</ul></nav></header>\n"
      "<main>\n{4}</main>\n</body>\n</html>\n",
      escaped_html(title), kStylesheet, escaped_html(subtitle), contents, body);
}

}  // namespace cria
