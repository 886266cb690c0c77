using AiAspire.ServiceDefaults;

namespace AiAspire.Workers.Evaluations;

internal static class EvaluationRegistration
{
    private const string HttpClientName = "evaluator";

    /// <returns>The settings; <see cref="ScheduledEvaluationOptions.Enabled"/> says whether there is anything to schedule.</returns>
    public static ScheduledEvaluationOptions AddScheduledEvaluation(this IHostApplicationBuilder builder)
    {
        var options = builder.Configuration.GetValid<ScheduledEvaluationOptions>(ScheduledEvaluationOptions.Section);
        options.ThrowIfPlaintext(builder.Configuration);
        builder.Services.AddSingleton(options);
        // Asking for an evaluation costs money: nothing repeats it on its own.
        builder.Services.AddHttpClient(HttpClientName).WithoutStandardResilience();
        builder.Services.AddTransient(provider => new EvaluatorClient(provider.GetRequiredService<IHttpClientFactory>().CreateClient(HttpClientName), options));
        builder.Services.AddTransient<ScheduledEvaluation>();
        return options;
    }
}
