"""What is familiar to a network, by which the page refuses drawings; it takes seconds to learn."""

from lenetscope.playground.answers import RUN, Answer

Answer(
    name="familiar",
    summary="what is familiar to a network, by which the page refuses drawings",
    fields=RUN,
    compute=lambda lab, asked: lab.run(asked.get("run")).familiar,
).register()
