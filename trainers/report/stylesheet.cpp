#include "trainers/report/page.h"

namespace cria {

// One column of text, figures two abreast where there is room. Colours are variables, given for
// light and for dark; those of series keep Okabe and Ito's hues in both.
const char* const kStylesheet = R"css(
:root {
  --paper: #fdfdfb; --ink: #1f1f1d; --muted: #5f5f5a; --line: #dcdbd5; --panel: #f4f3ee; --link: #00599c;
  --plot-paper: transparent; --plot-ink: #3a3a37; --plot-grid: #e6e5df;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #c2629a;
  --series-4: #c98500; --series-5: #3f9fd8; --series-6: #1f1f1d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171717; --ink: #e8e6e1; --muted: #a5a39c; --line: #393835; --panel: #212120; --link: #7cbcf0;
    --plot-ink: #c9c7c1; --plot-grid: #31312f;
    --series-0: #4ba3e3; --series-1: #f5803e; --series-2: #2fbf94; --series-3: #e394c0;
    --series-4: #efb13a; --series-5: #8fd0f5; --series-6: #e8e6e1;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 66rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
}
h1, h2, h3, h4 { line-height: 1.2; text-wrap: balance; }
h1 { margin: 0; font-size: 2rem; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 3.5rem 0 0.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); font-size: 1.4rem; font-weight: 620; letter-spacing: -0.01em; }
h3 { margin: 2.25rem 0 0.5rem; font-size: 1.05rem; font-weight: 620; }
h4 { margin: 0 0 0.4rem; font-size: 0.95rem; font-weight: 600; }
p { margin: 0.5rem 0; max-width: 68ch; text-wrap: pretty; overflow-wrap: anywhere; }
header p { color: var(--muted); }
a { color: var(--link); text-underline-offset: 0.15em; }
nav ul { margin: 1.25rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; list-style: none; font-size: 0.925rem; }
nav a { display: inline-block; padding: 0.25rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 2rem 2.5rem; margin: 1.5rem 0; }
figure { margin: 0; min-width: 0; max-width: 34rem; }
figure.wide { grid-column: 1 / -1; max-width: none; }
figure svg:not(.key) { display: block; width: 100%; height: auto; }
figcaption { margin-top: 0.4rem; max-width: 60ch; color: var(--muted); font-size: 0.875rem; line-height: 1.45; text-wrap: pretty; overflow-wrap: anywhere; }
.legend { margin: 0 0 0.35rem; padding: 0; display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; list-style: none; font-size: 0.85rem; line-height: 1.5; }
.legend li { display: inline-flex; align-items: center; gap: 0.4rem; overflow-wrap: anywhere; }
.key { flex: none; width: 1.5rem; height: 0.625rem; fill: none; }
.caption { margin: 1.5rem 0 0; color: var(--muted); font-size: 0.875rem; }
.table { margin: 0.35rem 0 1.25rem; overflow-x: auto; -webkit-overflow-scrolling: touch; }
.table:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; line-height: 1.4; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: 0.4rem 1.25rem 0.4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; white-space: nowrap; border-bottom-color: var(--muted); }
tbody th { font-weight: 560; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
td:last-child:not(.number) { min-width: 15rem; }
.dialogue { margin: 1.25rem 0 1.75rem; }
.dialogue .prompt { margin: 0 0 0.5rem; font-weight: 560; white-space: pre-line; }
.dialogue dl { margin: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); gap: 0.5rem; }
.dialogue dl div { padding: 0.55rem 0.8rem 0.65rem; border-radius: 0.4rem; background: var(--panel); min-width: 0; }
dt { color: var(--muted); font-size: 0.8rem; }
dd { margin: 0.1rem 0 0; white-space: pre-line; overflow-wrap: anywhere; }
dd em { color: var(--muted); }
details { margin: 0.5rem 0; border: 1px solid var(--line); border-radius: 0.4rem; }
summary { padding: 0.55rem 0.8rem; cursor: pointer; font-size: 0.925rem; overflow-wrap: anywhere; }
pre { margin: 0; padding: 0.75rem 0.8rem; border-top: 1px solid var(--line); overflow-x: auto; font: 0.8rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.6rem; }
  h2 { margin-top: 2.5rem; font-size: 1.25rem; }
}
@media print {
  body { max-width: none; padding: 0; }
  figure, .dialogue, tr { break-inside: avoid; }
}
)css";

}  // namespace cria
