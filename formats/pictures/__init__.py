"""Pictures and maps -> arrays: decoded, checked, fitted."""
