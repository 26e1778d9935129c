"""`python -m services.notify`"""

from services.notify import app
from shared.process import run

run(app.build)
