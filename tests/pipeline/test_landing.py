"""Landing: what Kafka holds is in the lake, untouched, whatever is killed, cut or fed to it."""
