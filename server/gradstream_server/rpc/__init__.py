"""The outer ring: the contract's messages in, the domain's values in the middle, the messages out."""
