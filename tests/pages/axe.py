"""axe-core, the accessibility checker that runs inside a page."""

from tests.pages.npm import node_modules

RUN = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
"""For `page.evaluate` after the script: what is wrong, as rule and elements; empty when nothing is."""


def axe_script() -> str:
    """The checker's text. Without npm the test fails and says so."""
    return (node_modules() / "axe-core/axe.min.js").read_text("utf-8")
