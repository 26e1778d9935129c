"""`python -m services.wsfed`"""

from services.wsfed import app
from shared.process import run

run(app.build)
