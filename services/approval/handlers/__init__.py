"""One async function per use case; `steps.change` is how each of them writes."""
