#!/bin/sh
# A project of three modules in the folder that the run starts in.
set -eu
mkdir -p shop
printf 'def total(lines):\n    return sum(line.price * line.count for line in lines)\n' > shop/orders.py
printf 'def after_discount(price, percent):\n    """Take a discount off the price of an order."""\n    return price - price * percent / 100\n' > shop/prices.py
printf 'def greet(name):\n    return f"Hello {name}"\n' > shop/mail.py
