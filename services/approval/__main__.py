"""`python -m services.approval`"""

from services.approval import app
from shared.run import run

run(app.build)
