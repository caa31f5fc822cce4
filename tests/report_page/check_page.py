"""Opens a report in headless Chromium from the file system, with scripts disabled, at the sizes of a phone and of a
desktop, in light and dark; leaves screenshots, and fails where the page says an error, asks for anything besides
itself, is wider than its screen, or leaves a plot without size.

    check_page.py report.html build/report
"""

import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
SLICE = 1600  # pixels of a screenshot's height: a page is many screens long


def look(browser, page_file, output, size, scheme):
    """The problems of one view."""
    problems = []
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                  java_script_enabled=False, device_scale_factor=2 if size == "phone" else 1)
    page = context.new_page()
    url = page_file.resolve().as_uri()
    page.on("console", lambda message: problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("request", lambda request: problems.append(f"request: {request.url[:200]}")
            if request.url != url and not request.url.startswith("data:") else None)
    page.goto(url)
    if not page.title():
        problems.append("the page has no title")
    plots = page.locator("figure > svg").all()
    if not plots:
        problems.append("the page shows no plot")
    for i, plot in enumerate(plots):
        box = plot.bounding_box()
        if box is None or box["width"] < 200 or box["height"] < 60:
            problems.append(f"plot {i + 1} is shown at {box}")
    body = page.locator("body").bounding_box()
    for element in page.locator("h1, h2, h3, h4, p, figure, details, .table, .dialogue").all():
        box = element.bounding_box()
        if box is not None and box["x"] + box["width"] > width + 0.5:
            problems.append(f"wider than the screen: {element.text_content()[:60]!r}")
    total = int(body["height"]) + 100
    page.set_viewport_size({"width": width, "height": total})
    for part, top in enumerate(range(0, total, SLICE)):
        page.screenshot(path=output / f"{size}-{scheme}-{part + 1:02}.png",
                        clip={"x": 0, "y": top, "width": width, "height": min(SLICE, total - top)})
    context.close()
    return [f"{size}, {scheme}: {problem}" for problem in problems]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for old in arguments.output.glob("*.png"):
        old.unlink()
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
        for size in SIZES:
            for scheme in ("light", "dark"):
                problems += look(browser, arguments.page, arguments.output, size, scheme)
        browser.close()
    for problem in problems:
        print(problem)
    print(f"{arguments.page}: {len(problems)} problems, screenshots in {arguments.output}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
