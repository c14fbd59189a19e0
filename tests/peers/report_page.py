"""Looks at the page of `rtune report` in a real browser: report_page.py PAGE.html OUT [CHROMIUM]

Opens the page with no network, in light and in dark, wide and narrow, and prints it. Fails if the page asks for anything but itself, runs a
script, writes to the console, is wider than the window, draws a chart without a line or hides text in its own background; writes
screenshots and the printed pages into OUT for a person to look at. Needs playwright and a Chromium (its own, or the program named).
"""
import pathlib, sys
from playwright.sync_api import sync_playwright

page_file, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
chromium = sys.argv[3] if len(sys.argv) > 3 else None
out.mkdir(parents=True, exist_ok=True)
wrong = []

# Contrast of text and background by WCAG 2, for the texts of the page as they are drawn.
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const parse = s => (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const back = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const low = new Set();
  for (const e of document.querySelectorAll('h1,h2,h3,h4,p,td,th,pre,span,b,li,a,text')) {
    if (!e.textContent.trim()) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.tagName === 'text' ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(ink), light(back(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.add(`${e.tagName} ${e.className.baseVal ?? e.className}: ${ratio.toFixed(2)}`);
  }
  return [...low];
}"""
# Words that are broken in the middle: a number over two lines is read as two.
BROKEN = """() => {
  const out = new Set(), range = document.createRange();
  for (const cell of document.querySelectorAll('td.n, th.n, .tile b')) for (const node of cell.childNodes) {
    if (node.nodeType !== 3) continue;
    for (const word of node.textContent.matchAll(/\\S{1,24}/g)) {
      range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(r => r.top)).size > 1) out.add(word[0]);
    }
  }
  return [...out];
}"""
CHARTS = "() => [...document.querySelectorAll('figure svg')].map(s => [s.getAttribute('aria-label'), s.querySelectorAll('.line, .bin').length, s.getBoundingClientRect().height])"
WIDE = """() => {
  const out = [];
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) out.push('the page scrolls sideways');
  for (const t of document.querySelectorAll('svg text')) {
    const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
    if (a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1) out.push(`outside its chart: ${t.textContent}`);
  }
  return out;
}"""

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for scheme in ["light", "dark"]:
        for name, width in [("wide", 1280), ("narrow", 420)]:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)
            page = context.new_page()
            page.set_default_timeout(180_000)
            page.on("request", lambda request: request.url == page_file.as_uri() or wrong.append(f"asks for {request.url}"))
            page.on("console", lambda message: wrong.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
            page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            page.goto(page_file.as_uri())
            wrong += [f"{scheme} {name}: {what}" for what in page.evaluate(WIDE)]
            wrong += [f"{scheme}: low contrast: {what}" for what in page.evaluate(CONTRAST)]
            wrong += [f"{name}: broken in the middle: {word}" for word in page.evaluate(BROKEN)]
            charts = page.evaluate(CHARTS)
            wrong += [f"{name}: the chart `{label}` is empty" for label, lines, height in charts if lines == 0 or height < 50]
            page.screenshot(path=str(out / f"{scheme}-{name}.png"), full_page=True)
            if scheme == "dark" and name == "wide":
                # Printed from a dark screen it is black on white all the same.
                page.emulate_media(media="print", color_scheme="dark")
                page.set_viewport_size({"width": 700, "height": 1000})
                wrong += [f"printed: broken in the middle: {word}" for word in page.evaluate(BROKEN)]
                ink = page.evaluate("() => getComputedStyle(document.body).color")
                if ink != "rgb(0, 0, 0)":
                    wrong.append(f"printed in {ink}")
                if not page.evaluate("() => { const p = document.querySelector('details pre'); return p && p.getBoundingClientRect().height > 0; }"):
                    wrong.append("what is folded away is not printed")
                page.pdf(path=str(out / "printed.pdf"), format="A4", margin={side: "12mm" for side in ["top", "bottom", "left", "right"]})
            if page.evaluate("() => document.scripts.length"):
                wrong.append("there is a script")
            context.close()
    browser.close()
print(f"{len(charts)} charts; screenshots and printed.pdf in {out}")
for what in sorted(set(wrong)):
    print(what)
sys.exit(1 if wrong else 0)
