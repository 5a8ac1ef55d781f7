"""The arrows between the systems: source to stream, stream to lake, lake to warehouse; and the ledger over them."""
