"""The program is `app.py`, what it offers `routes.py`, and the server around it `server.py`."""
