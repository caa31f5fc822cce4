// An SVG as a part of an HTML page: drawing alone, in the page's colours.
#pragma once

#include <string>

namespace cria {

// What an SVG draws, without what else it may hold: only elements and attributes that draw stay, so
// no script, style, link or anything from elsewhere gets into the page (`image` with its PNG inside
// does). It fills the width that it is given. The colours of plot.h become CSS variables of the
// page, --plot-ink, --plot-grid, --plot-paper and --series-0 to --series-6, so that it decides what
// they are in the dark; fonts are the page's. Every id gets `id` in front, since a page has each
// but once. `label`: what is read out to those who do not see it.
//
// An input Error names `where`, the SVG's file with its line, when it is no XML.
std::string inline_svg(const std::string& svg, const std::string& id, const std::string& label,
                       const std::string& where);

// Text as the content of an element or the value of an attribute, of HTML and of XML; characters
// that neither may hold become U+FFFD. `text` is UTF-8.
std::string escaped_html(const std::string& text);

}  // namespace cria
