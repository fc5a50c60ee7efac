-- A database for each project, as both have a table `events`.
CREATE DATABASE agents;
CREATE DATABASE workflow;
