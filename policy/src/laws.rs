//! Laws that hold for every input: property tests over generated policies, requests and bytes.

mod canonical;
mod decisions;
mod documents;
mod readings;
mod reference;
mod strategies;
mod wire;
