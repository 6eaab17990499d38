# Explained variance and intraclass correlation, as performance and insight compute them
source("common.R")
suppressPackageStartupMessages(library(performance))
library(insight)

# Nakagawa's sums written out: the mean over rows of z' Sigma z for each term, weights ignored in residual variance
parts <- function(m) {
  components <- VarCorr(m); cnms <- getME(m, "cnms"); X <- getME(m, "X"); data <- model.frame(m)
  list(fixed = var(as.vector(X %*% fixef(m))), residual = sigma(m)^2,
       random = lapply(seq_along(components), function(i) {
         Z <- getME(m, "mmList")[[i]]
         list(group = names(components)[i], variance = mean(rowSums((Z %*% components[[i]]) * Z)))
       }))
}
cases <- list()
add <- function(id, name, f, reml = TRUE, weights = NULL) {
  m <- fit(f, read_data(name), reml, weights)
  r <- suppressWarnings(r2_nakagawa(m)); i <- suppressWarnings(icc(m)); each <- tryCatch(as.data.frame(icc(m, by_group = TRUE)), error = function(e) NULL)
  p <- parts(m); total <- p$fixed + p$residual + sum(vapply(p$random, `[[`, 0, "variance"))
  cases[[id]] <<- case(name, f, list(basics = basics(m),
    performance = list(r2_marginal = unname(r$R2_marginal), r2_conditional = unname(r$R2_conditional),
                       icc_adjusted = i$ICC_adjusted, icc_unadjusted = i$ICC_unadjusted, icc_by_group = by_column(each)),
    variances = p, written_out = list(r2_marginal = p$fixed / total, r2_conditional = 1 - p$residual / total)), reml, weights)
  cat(id, unlist(cases[[id]]$results$performance[1:4]), unlist(cases[[id]]$results$written_out), "\n")
}
add("crossed_intercepts", "crossed", y ~ arm * cond + time + age + (1 | subject) + (1 | item))
add("crossed_slopes", "crossed", y ~ arm * cond + time + age + (time | subject) + (time | item))
add("crossed_diagonal", "crossed", y ~ cond + time + (time || subject) + (1 | item))
add("crossed_weights", "crossed", y ~ cond + time + (time | subject) + (1 | item), weights = "w")
add("factor_slopes", "machines", score ~ Machine + (Machine | Worker))
add("schools", "schools", y ~ method * x + (1 | school/class) + (1 | rater))
add("factorial", "factorial", y ~ a * b + b * x + (1 | g))
add("factorial_weights", "factorial", y ~ a * b + x + (1 | g), weights = "w")
add("slope_only", "sleepstudy", Reaction ~ Days + (0 + Days | Subject))
add("sleepstudy_ml", "sleepstudy", Reaction ~ Days + (Days | Subject), reml = FALSE)
store("r2", cases, c("lme4", "performance", "insight"), list(
  written_out = "from the variances: random is the mean over rows of z' Sigma z (Johnson 2014), fixed is var(X beta) with divisor n - 1, residual is sigma^2",
  crossed_diagonal = "performance takes the slope of || terms at its mean alone: written_out is what Johnson's formula gives"))
