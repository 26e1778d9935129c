"""`python -m services.approval`"""

from services.approval import app
from shared.process import run

run(app.build)
