"""What users do with E2B's code interpreter, unmodified: code in contexts that are kept."""

import base64
import time

from e2b_code_interpreter import Sandbox

PATIENCE = 60


def results(sandbox):
    run = sandbox.run_code
    assert run("x = 41; x + 1").text == "42"
    assert run("x").text == "41", "a context is kept"
    done = run("import sys; print('out'); print('err', file=sys.stderr); 'last'")
    assert (done.logs.stdout, done.logs.stderr, done.text) == (["out\n"], ["err\n"], "last"), done
    error = run("1 / 0").error
    assert error.name == "ZeroDivisionError" and "division by zero" in error.value, error
    assert "Traceback" in error.traceback
    assert run("x").text == "41", "an error ends no context"
    table = run("import pandas; pandas.DataFrame({'a': [1, 2], 'b': ['x', 'y']})").results[0]
    assert table.data == {"a": [1, 2], "b": ["x", "y"]}, table.data
    assert "<table" in table.html
    figure = run("import matplotlib.pyplot as plt; plt.plot([1, 2, 4]); plt.title('growth'); plt.show()").results[0]
    assert base64.b64decode(figure.png).startswith(b"\x89PNG")
    assert figure.chart.title == "growth" and figure.chart.elements[0].points[2] == (2.0, 4.0), figure.chart
    assert run("import os; os.environ['A']", envs={"A": "1"}).text == "1"
    assert run("'A' in os.environ").text == "False", "variables of one call end with it"
    told = run("pwd; echo $((6 * 7))", language="bash").logs.stdout
    assert "".join(told).split() == ["/home/user", "42"], told


def streams(sandbox):
    seen = []
    code = "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.3)\n'end'"
    sandbox.run_code(
        code,
        on_stdout=lambda message: seen.append((time.monotonic(), message.line)),
        on_result=lambda result: seen.append((time.monotonic(), result.text)),
    )
    assert "".join(text for _, text in seen) == "0\n1\n2\nend", seen
    assert seen[-1][0] - seen[0][0] > 0.3, "output comes as it is written"


def contexts(sandbox):
    one = sandbox.create_code_context(cwd="/tmp")
    two = sandbox.create_code_context()
    assert one.id != two.id
    sandbox.run_code("whose = 'one'", context=one)
    sandbox.run_code("whose = 'two'", context=two)
    assert sandbox.run_code("whose", context=one).text == "one"
    assert sandbox.run_code("whose", context=two).text == "two"
    assert sandbox.run_code("import os; os.getcwd()", context=one).text == "/tmp"
    assert {one.id, two.id} <= {context.id for context in sandbox.list_code_contexts()}
    sandbox.restart_code_context(one)
    assert sandbox.run_code("whose", context=one).error.name == "NameError"
    assert sandbox.run_code("whose", context=two).text == "two"
    sandbox.remove_code_context(two)
    assert two.id not in [context.id for context in sandbox.list_code_contexts()]


def pauses(sandbox):
    sandbox.run_code("kept = 'over a pause'")
    sandbox.pause()
    again = Sandbox.connect(sandbox.sandbox_id, timeout=120)
    assert again.run_code("kept").text == "over a pause"


def main():
    sandbox = Sandbox.create(timeout=120)
    try:
        for step in [results, streams, contexts, pauses]:
            step(sandbox)
    finally:
        assert sandbox.kill() is True
    print("walked")


main()
