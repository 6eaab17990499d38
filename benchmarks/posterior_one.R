# One posterior by rstanarm: seconds of the call after loading, and its effective draws.
# Rscript posterior_one.R FORMULA FAMILY CHAINS DRAWS FILE
suppressMessages({library(rstanarm); library(posterior)})
arguments <- commandArgs(TRUE)
data <- read.csv(arguments[5], stringsAsFactors = TRUE)
for (name in intersect(c("Subject", "s", "d", "dept", "service", "id", "item"), names(data)))
  data[[name]] <- factor(data[[name]])
options(mc.cores = 2)
chains <- as.integer(arguments[3])
draws <- as.integer(arguments[4])
began <- proc.time()[["elapsed"]]
fit <- stan_glmer(
  as.formula(arguments[1]), data = data, family = get(arguments[2])(),
  chains = chains, iter = 2 * draws, seed = 1, refresh = 0
)
seconds <- proc.time()[["elapsed"]] - began
values <- as.array(fit)
names <- dimnames(values)$parameters
kept <- names[!grepl("^b\\[", names)]
sizes <- apply(values[, , kept, drop = FALSE], 3, ess_bulk)
cat(sprintf(
  '{"version": "%s", "first": %.3f, "seconds": %.3f, "effective": %.1f, "per_second": %.3f, "way": "NUTS"}\n',
  packageVersion("rstanarm"), seconds, seconds, min(sizes), min(sizes) / seconds
))
