"""`python -m services.admin`"""

from services.admin import app
from shared.process import run

run(app.build)
