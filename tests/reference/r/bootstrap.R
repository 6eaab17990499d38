# Standard errors and quantiles of lme4's parametric bootstrap, 2,000 replicates each.
# Rscript bootstrap.R > bootstrap.json
suppressMessages({library(lme4); library(jsonlite)})

quantities <- function(m) {
  vc <- as.data.frame(VarCorr(m))
  sds <- vc[is.na(vc$var2), ]
  cors <- vc[!is.na(vc$var2), ]
  out <- c(fixef(m), sds$sdcor, cors$sdcor)
  names(out) <- c(
    names(fixef(m)),
    ifelse(sds$grp == "Residual", "sigma", paste0("sd(", sds$var1, " | ", sds$grp, ")")),
    if (nrow(cors)) paste0("corr(", cors$var1, ", ", cors$var2, " | ", cors$grp, ")")
  )
  names(out) <- gsub("(Intercept)", "Intercept", names(out), fixed = TRUE)
  out
}

summarize <- function(fit, use.u) {
  b <- suppressWarnings(suppressMessages(
    bootMer(fit, quantities, nsim = 2000, seed = 1, use.u = use.u)))$t
  apply(b, 2, function(x) list(
    sd = sd(x, na.rm = TRUE), low = quantile(x, 0.1, na.rm = TRUE)[[1]],
    high = quantile(x, 0.9, na.rm = TRUE)[[1]]))
}

slopes <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
nested <- lmer(strength ~ 1 + (1 | batch/cask), Pastes)
cat(toJSON(auto_unbox = TRUE, digits = 8, pretty = TRUE, list(
  software = paste("lme4", packageVersion("lme4")),
  cases = list(
    list(formula = "Reaction ~ Days + (Days | Subject)", data = "sleepstudy",
         random = "marginal", results = summarize(slopes, FALSE)),
    list(formula = "Reaction ~ Days + (Days | Subject)", data = "sleepstudy",
         random = "conditional", results = summarize(slopes, TRUE)),
    list(formula = "strength ~ 1 + (1 | batch/cask)", data = "pastes",
         random = "marginal", results = summarize(nested, FALSE))
  ))))
