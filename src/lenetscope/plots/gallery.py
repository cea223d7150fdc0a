"""A page that shows the pictures of a folder, each linked to its file; it needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from lenetscope.plots.html import render

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem; }
ul { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
img { display: block; max-width: 100%; max-height: 16rem; background: white; }
a { font-size: 0.85rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ lead }}</p>
{% for name, summary, files in sections %}
<h2>{{ name }}</h2>
<p>{{ summary }}</p>
<ul>
{% for file in files %}
<li><a href="./{{ quote(file.name) }}">
<img src="./{{ quote(file.name) }}" alt="{{ name }}" loading="lazy">{{ file.name }}</a></li>
{% else %}
<li>Nothing to draw for this run.</li>
{% endfor %}
</ul>
{% endfor %}
</body>
</html>
"""


def gallery(
    title: str, lead: str, pictures: Mapping[str, Sequence[Path]], summaries: Mapping[str, str]
) -> str:
    """Return the page.

    Args:
        title: heading.
        lead: the sentence below it.
        pictures: files by name of a section, in the folder of the page.
        summaries: what each section shows, by its name.
    """
    sections = [(name, summaries[name], files) for name, files in pictures.items()]
    return f"{render(PAGE, title=title, lead=lead, sections=sections, quote=quote)}\n"
