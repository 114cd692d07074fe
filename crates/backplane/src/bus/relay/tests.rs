mod ending;
mod joining;
mod losses;
mod storm;
mod world;
