# Leverage, Cook's distance and DFBETA by observation and by group: every deletion refitted
source("common.R")

# Deletion written out: the fit of the remaining rows, polished as the whole fit is
deletions <- function(f, name, m, index, reml, weights) {
  data <- eval(read_data(name)); b <- fixef(m); V <- as.matrix(vcov(m)); p <- length(b)
  rows <- lapply(index, function(drop) {
    assign("kept_rows", data[-drop, ], envir = globalenv())
    k <- fit(f, as.name("kept_rows"), reml, weights)
    list(beta = unname(fixef(k)), sigma = sigma(k), sd = as.data.frame(VarCorr(k))$sdcor, se = sqrt(diag(as.matrix(vcov(k)))))
  })
  beta <- do.call(rbind, lapply(rows, `[[`, "beta")); delta <- sweep(beta, 2, b)
  list(beta = beta, sigma = vapply(rows, `[[`, 0, "sigma"),
       sd_or_corr = do.call(rbind, lapply(rows, `[[`, "sd")),
       dfbeta = -delta, dfbetas = unname(-delta / do.call(rbind, lapply(rows, `[[`, "se"))),
       cooks_distance = rowSums((delta %*% solve(V)) * delta) / p)
}
by_group <- function(f, name, m, group, reml = TRUE, weights = NULL) {
  data <- eval(read_data(name)); levels <- levels(droplevels(data[[group]]))
  c(list(group = group, level = levels), deletions(f, name, m, lapply(levels, function(l) which(data[[group]] == l)), reml, weights))
}
# The same from lme4's own influence(), whose refits go by its default optimizer
lme4_own <- function(m, ...) {
  i <- suppressWarnings(influence(m, ...))
  list(cooks_distance = unname(cooks.distance(i)), dfbeta = square(dfbeta(i)))
}
rows_of <- function(m) list(hat = unname(hatvalues(m)), cooks_approximate = unname(cooks.distance(m)),
                            pearson = unname(residuals(m, "pearson", scaled = TRUE)), rstudent = unname(rstudent(m)))
cases <- list()
add <- function(id, name, f, groups, observations = NULL, reml = TRUE, weights = NULL, own = NULL) {
  m <- fit(f, read_data(name), reml, weights)
  out <- list(basics = basics(m), rows = rows_of(m),
              groups = lapply(setNames(nm = groups), function(g) by_group(f, name, m, g, reml, weights)))
  if (!is.null(observations)) out$observations <- c(list(row = observations - 1), deletions(f, name, m, as.list(observations), reml, weights))
  if (!is.null(own)) out$lme4_influence <- c(list(group = own), lme4_own(m, groups = own))
  cases[[id]] <<- case(name, f, out, reml, weights)
  cat(id, "\n")
}
add("crossed", "crossed", y ~ cond + time + (time | subject) + (1 | item), c("subject", "item"), c(1:10, 101, 200))
add("crossed_weights", "crossed", y ~ cond + time + (1 | subject) + (1 | item), c("subject", "item"), c(1:5, 60), weights = "w")
add("schools", "schools", y ~ method + x + (1 | school/class) + (1 | rater), c("school", "rater"), c(1, 20, 40, 88))
add("sleepstudy", "sleepstudy", Reaction ~ Days + (Days | Subject), "Subject", c(1, 57, 60, 180), own = "Subject")
add("sleepstudy_ml", "sleepstudy", Reaction ~ Days + (1 | Subject), "Subject", c(1, 57), reml = FALSE)
add("penicillin", "penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), c("plate", "sample"), 1:6)
add("factorial_weights", "factorial", y ~ a + b + x + (1 | g), "g", c(1:4, 150), weights = "w")
store("influence", cases, "lme4", list(
  dfbeta = "whole fit minus fit without; dfbetas divide by the standard errors of the fit without",
  cooks_distance = "(b - b_i)' V^-1 (b - b_i) / p, V the covariance of the whole fit",
  rows = "hat: diagonal of the matrix from y to the conditional fitted values; cooks_approximate and rstudent are lme4's, with variance components held",
  row = "observations count from zero"))
