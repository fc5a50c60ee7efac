"""The program is in `app.py`, its routes in `routes.py`, the server around it in `server.py`."""
