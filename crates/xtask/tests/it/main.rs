//! What the project promises about its own source, held on the checkout at hand. ARCHITECTURE.md names these tests.

mod architecture;
