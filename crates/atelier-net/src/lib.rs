//! A sandbox's way to the network: a user-space stack with an enforced policy, and DNS.
