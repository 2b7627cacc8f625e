//! The routes of people and programs, under `/api/v1`.
