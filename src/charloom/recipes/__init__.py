"""The recipes that charloom ships, as TOML files."""
