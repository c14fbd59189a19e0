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


def run():
    request = json.loads(sys.stdin.buffer.read())
    told = os.dup(1)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), Nowhere(), Nowhere()
    try:
        exec(compile(request["program"], "<program>", "exec"), {})
        said = {"proof": request["proof"]}
    except BaseException as error:
        try:
            text = str(error)[:300]
        except BaseException:
            text = ""
        said = {"failed": type(error).__name__ + (": " + text if text else "") + where(error)}
    os.write(told, json.dumps(said).encode())
    os._exit(0)


run()
