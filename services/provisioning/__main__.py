"""`python -m services.provisioning`"""

from services.provisioning import app
from shared.process import run

run(app.build)
