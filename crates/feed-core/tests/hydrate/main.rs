//! Hydration, seen from outside: what pages show, and what they cost.

mod flights;
mod freshness;
mod interleaved;
mod model;
mod pages;
mod world;
