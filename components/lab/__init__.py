"""The gradient laboratory: the lecture's demonstrations, measured on the real layer, drawn and told in sentences."""
