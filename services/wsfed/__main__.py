"""`python -m services.wsfed`"""

from services.wsfed import app
from shared.run import run

run(app.build)
