"""Runs code in Jupyter kernels, for clients of the code-interpreter protocol.

POST /execute                 {code, context_id?, language?, env_vars?} -> one JSON object per line
GET|POST /contexts            lists contexts; makes one of {language?, cwd?}
DELETE /contexts/ID           ends a context
POST /contexts/ID/restart     starts its kernel afresh
GET /health                   OK

A context is a kernel that keeps its state. There is one for each language that a client names,
and as many more as clients make. Needs jupyter_client (which brings tornado) and a kernel.
"""

import asyncio
import json
import os
import queue
import shlex
import sys
import tempfile
import uuid
from datetime import datetime, timezone

import tornado.web
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from tornado.iostream import StreamClosedError

PORT = int(os.environ.get("INTERPRETER_PORT", "49999"))
HOME = os.environ.get("INTERPRETER_HOME") or os.path.expanduser("~")
KEEPALIVE = 5.0  # seconds; also how soon a client that went away is noticed
START_LIMIT = 60.0  # seconds until a new kernel must answer
ALIASES = {"py": "python", "python3": "python", "js": "javascript", "ts": "typescript", "sh": "bash"}
FORMATS = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}
# Tables are sent as columns too, and figures as what they show, so that clients can draw them. An
# image that is saved is a result as well.
PYTHON_SETUP = """
def _atelier_setup():
    import json, sys
    from IPython.display import display as show
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode
    display = get_ipython().display_formatter
    def add(kind, name, module, type_name, convert):
        class Formatter(BaseFormatter):
            format_type = Unicode(kind)
            print_method = ObjectName(name)
            _return_type = dict
            # Not a printer that is registered by type: matplotlib takes those for figures away.
            def __call__(self, value):
                own = getattr(sys.modules.get(module), type_name, None)
                if own is None or not isinstance(value, own):
                    return super().__call__(value)
                try:
                    return convert(value)
                except Exception:
                    return None
        display.formatters[kind] = Formatter(parent=display)
    def columns(frame):
        values = lambda name: json.loads(frame[name].to_json(orient="values", date_format="iso"))
        return {str(name): values(name) for name in frame.columns}
    def chart(figure):
        from e2b_charts import chart_figure_to_dict
        return chart_figure_to_dict(figure)
    add("e2b/data", "_repr_e2b_data_", "pandas", "DataFrame", columns)
    add("e2b/chart", "_repr_e2b_chart_", "matplotlib.figure", "Figure", chart)
    try:
        from PIL.Image import Image
    except ImportError:
        return
    save = Image.save
    def save_and_show(image, to, *args, **options):
        if isinstance(to, str):
            show(image)
        return save(image, to, *args, **options)
    Image.save = save_and_show
_atelier_setup()
del _atelier_setup
"""


class Refused(Exception):
    """What a client asked for can't be done: a status and a sentence."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def kernel_name(language):
    """The name of an installed kernel for a language."""
    specs = KernelSpecManager().get_all_specs()
    for name, spec in sorted(specs.items()):
        if name == language or spec["spec"].get("language", "").lower() == language:
            return name
    there = sorted({spec["spec"].get("language", name).lower() for name, spec in specs.items()})
    raise Refused(500, f"no kernel for {language} is installed; there are: {', '.join(there)}")


class Context:
    """One kernel and what runs in it, one piece of code after the other."""

    def __init__(self, language, cwd):
        self.id = str(uuid.uuid4())
        self.language, self.cwd = language, cwd
        self.turn = asyncio.Lock()

    async def start(self):
        if not os.path.isdir(self.cwd):
            raise Refused(500, f"{self.cwd} is no folder")
        # Sockets in a folder of ours: a TCP port would be open to every user inside.
        self.sockets = tempfile.TemporaryDirectory(prefix="interpreter-")
        self.manager = AsyncKernelManager(
            kernel_name=kernel_name(self.language),
            transport="ipc",
            ip=os.path.join(self.sockets.name, "kernel"),
        )
        await self.manager.start_kernel(cwd=self.cwd)
        await self.connect()

    async def connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=START_LIMIT)
        if self.language == "python":
            await self.quietly(PYTHON_SETUP)

    async def restart(self):
        self.client.stop_channels()
        await self.manager.restart_kernel(now=True)
        await self.connect()

    async def end(self):
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)
        self.sockets.cleanup()

    async def quietly(self, code):
        """Runs code of ours: no history, no output."""
        message = self.client.execute(code, silent=True, store_history=False)
        async for kind, _, _ in self.messages(message):
            if kind == "lost":
                return

    async def messages(self, message):
        """Each message that answers `message`, until the kernel is idle again or gone."""
        waited = 0.0
        while True:
            try:
                got = await self.client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                if not await self.manager.is_alive():
                    yield "lost", None, None
                    return
                waited += 1.0
                if waited >= KEEPALIVE:
                    waited = 0.0
                    yield "keepalive", None, None
                continue
            if got["parent_header"].get("msg_id") != message:
                continue
            kind, content = got["msg_type"], got["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return
            yield kind, content, got["header"]["date"]

    def variables(self, values):
        """Code that sets variables of the environment; a value of None takes one away."""
        if self.language == "python":
            return (
                "import os as _os\n"
                f"for _k, _v in {values!r}.items():\n"
                "    _os.environ.__setitem__(_k, _v) if _v is not None else _os.environ.pop(_k, None)\n"
                "del _os, _k, _v"
            )
        if self.language == "bash":
            each = [
                f"unset {k}" if v is None else f"export {k}={shlex.quote(v)}"
                for k, v in values.items()
            ]
            return "\n".join(each)
        if self.language in ("javascript", "typescript"):
            each = [
                f"delete process.env[{json.dumps(k)}]"
                if v is None
                else f"process.env[{json.dumps(k)}] = {json.dumps(v)}"
                for k, v in values.items()
            ]
            return ";".join(each)
        return ""

    async def run(self, code, variables):
        """Gives what the code does, as objects of the protocol."""
        async with self.turn:
            if not await self.manager.is_alive():
                await self.restart()
            if variables:
                await self.quietly(self.variables(variables))
            message = self.client.execute(code, allow_stdin=False)
            done = False
            try:
                async for kind, content, date in self.messages(message):
                    if kind == "lost":
                        yield {
                            "type": "error",
                            "name": "UnexpectedEndOfExecution",
                            "value": "the kernel ended before the code did",
                            "traceback": "",
                        }
                        break
                    item = translate(kind, content, date)
                    if item is not None:
                        yield item
                done = True
            finally:
                if not done:
                    # The client went away: the next one must not wait for its code.
                    await self.manager.interrupt_kernel()
                if variables and await self.manager.is_alive():
                    before = {name: os.environ.get(name) for name in variables}
                    await self.quietly(self.variables(before))


def translate(kind, content, date):
    """A message of Jupyter as an object of the protocol, or None."""
    if kind == "keepalive":
        return {"type": "keepalive"}
    if kind == "stream":
        stamp = date if isinstance(date, datetime) else datetime.now(timezone.utc)
        return {"type": content["name"], "text": content["text"], "timestamp": stamp.isoformat()}
    if kind in ("execute_result", "display_data"):
        return result(content["data"], kind == "execute_result")
    if kind == "error":
        return {
            "type": "error",
            "name": content["ename"],
            "value": content["evalue"],
            "traceback": "\n".join(content["traceback"]),
        }
    if kind == "execute_input":
        return {"type": "number_of_executions", "execution_count": content["execution_count"]}
    return None


def result(data, main):
    item = {"type": "result", "is_main_result": main}
    extra = {}
    for kind, value in data.items():
        if kind in FORMATS:
            item[FORMATS[kind]] = value
        else:
            extra[kind] = value
    text = item.get("text")
    if text and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        item["text"] = text[1:-1]
    if extra:
        item["extra"] = extra
    return item


class Contexts:
    """Every context by id, and the one that each language has by itself."""

    def __init__(self):
        self.all = {}
        self.default = {}
        self.making = asyncio.Lock()

    async def make(self, language, cwd):
        context = Context(language, cwd)
        await context.start()
        self.all[context.id] = context
        return context

    async def of_language(self, language):
        async with self.making:
            context = self.all.get(self.default.get(language))
            if context is None:
                context = await self.make(language, HOME)
                self.default[language] = context.id
            return context

    def get(self, context_id):
        if context_id not in self.all:
            raise Refused(404, f"Context {context_id} not found")
        return self.all[context_id]


def normal(language):
    language = (language or "python").lower().strip()
    return ALIASES.get(language, language)


class Handler(tornado.web.RequestHandler):
    def initialize(self, contexts):
        self.contexts = contexts

    def write_error(self, status_code, exc_info=None, **_):
        error = exc_info[1] if exc_info else None
        if isinstance(error, Refused):
            self.set_status(error.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(str(error) if error else str(status_code))

    def log_exception(self, kind, value, trace):
        if not isinstance(value, Refused):
            super().log_exception(kind, value, trace)

    def body(self):
        try:
            value = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise Refused(400, f"the body is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise Refused(400, "the body is no JSON object")
        return value


class Health(Handler):
    def get(self):
        self.finish("OK")


class Execute(Handler):
    async def post(self):
        body = self.body()
        if not isinstance(body.get("code"), str):
            raise Refused(422, "code is missing")
        if body.get("context_id") and body.get("language"):
            raise Refused(400, "Only one of context_id or language can be provided")
        if body.get("context_id"):
            context = self.contexts.get(body["context_id"])
        else:
            context = await self.contexts.of_language(normal(body.get("language")))
        self.set_header("Content-Type", "application/json")
        await self.follow(context.run(body["code"], body.get("env_vars") or {}))

    async def follow(self, items):
        self.gone = asyncio.get_running_loop().create_future()
        try:
            step = asyncio.ensure_future(anext(items, None))
            while True:
                await asyncio.wait({step, self.gone}, return_when=asyncio.FIRST_COMPLETED)
                if self.gone.done():
                    step.cancel()
                    await asyncio.gather(step, return_exceptions=True)
                    return
                item = step.result()
                if item is None:
                    break
                self.write(json.dumps(item, default=str) + "\n")
                await self.flush()
                step = asyncio.ensure_future(anext(items, None))
            self.finish('{"type": "end_of_execution"}\n')
        except StreamClosedError:
            pass
        finally:
            await items.aclose()

    def on_connection_close(self):
        if hasattr(self, "gone") and not self.gone.done():
            self.gone.set_result(None)


class ContextList(Handler):
    def get(self):
        each = self.contexts.all.values()
        self.finish(json.dumps([shown(context) for context in each]))

    async def post(self):
        body = self.body()
        context = await self.contexts.make(normal(body.get("language")), body.get("cwd") or HOME)
        self.finish(shown(context))


class One(Handler):
    async def delete(self, context_id):
        context = self.contexts.get(context_id)
        del self.contexts.all[context_id]
        await context.end()
        self.finish("null")


class Restart(Handler):
    async def post(self, context_id):
        await self.contexts.get(context_id).restart()
        self.finish("null")


def shown(context):
    return {"id": context.id, "language": context.language, "cwd": context.cwd}


async def main():
    contexts = Contexts()
    # The first call must not wait for a kernel.
    await contexts.of_language("python")
    given = {"contexts": contexts}
    application = tornado.web.Application(
        [
            ("/health", Health, given),
            ("/execute", Execute, given),
            ("/contexts", ContextList, given),
            ("/contexts/([^/]+)", One, given),
            ("/contexts/([^/]+)/restart", Restart, given),
        ]
    )
    application.listen(PORT, "0.0.0.0", max_buffer_size=1 << 30)
    print(f"serving on port {PORT}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
