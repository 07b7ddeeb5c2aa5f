//! The host side: images, runners, scripted sessions.

fn main() {}
