"""`u3p-edge verify`: is a run folder what its export left, and do its files still compute what they should?"""
