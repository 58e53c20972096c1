"""The loop that trains, and the devices that it trains on."""
