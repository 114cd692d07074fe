mod ending;
mod failing;
mod fairness;
mod joining;
mod losses;
mod storm;
mod world;
