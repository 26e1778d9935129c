"""What our pages take from npm: `python -m deploy.assets` makes it into `shared/web/assets/`, which git does not keep.

Set-up runs it, and so does the build of the image. Standard library only: it runs before anything else is there.
"""
