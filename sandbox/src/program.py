import io, json, os, sys


class Nowhere(io.TextIOBase):
    def writable(self):
        return True

    def write(self, text):
        return len(text)


def where(error):
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f" (line {line})"


def message(descriptor):
    # A line with a number, then as many bytes; nothing behind them is read, as a buffered stream would.
    length = b""
    while not length.endswith(b"\n"):
        length += os.read(descriptor, 1) or b"\n"
    text, left = [], int(length)
    while left:
        text.append(os.read(descriptor, left))
        left -= len(text[-1]) or left
    return b"".join(text).decode()


def attempt():
    # Frames that the program can see hold its own text and nothing else.
    try:
        exec(compile(message(0), "<program>", "exec"), {})
    except BaseException as error:
        try:
            text = str(error)[:300]
        except BaseException:
            text = ""
        return type(error).__name__ + (": " + text if text else "") + where(error)


def run():
    told, proofs = os.dup(1), os.dup(0)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), Nowhere(), Nowhere()
    failed = attempt()
    # The proof that it ran to its end is in this process from here on only.
    said = {"proof": message(proofs)} if failed is None else {"failed": failed}
    os.write(told, json.dumps(said).encode())
    os._exit(0)


run()
