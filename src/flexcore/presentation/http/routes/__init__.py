"""The operations, one module per part of the API; `flexcore.presentation.http.app` joins them."""
