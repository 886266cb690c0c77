using AiAspire.ServiceDefaults;
using AiAspire.Workers.Evaluations;
using AiAspire.Workers.Schedules;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.Jobs;

public sealed class ScheduleOptionsTests
{
    [Theory]
    [InlineData("every hour")]
    [InlineData("17 * * * *")]
    [InlineData("")]
    public void A_schedule_that_is_no_cron_expression_is_refused_with_an_example(string cron)
    {
        var configuration = new ConfigurationManager { ["Schedules:RetentionCron"] = cron, ["Evaluations:Cron"] = cron };

        var refused = Assert.Throws<OptionsValidationException>(() => configuration.GetValid<ScheduleOptions>(ScheduleOptions.Section));
        Assert.StartsWith($"Schedules: RetentionCron is '{cron}', which is no cron expression", Assert.Single(refused.Failures), StringComparison.Ordinal);
        Assert.Contains("'0 17 * * * ?'", refused.Message, StringComparison.Ordinal);
        Assert.Throws<OptionsValidationException>(() => configuration.GetValid<ScheduledEvaluationOptions>(ScheduledEvaluationOptions.Section));
    }

    [Fact]
    public void The_defaults_are_cron_expressions()
        => Assert.Equal("0 17 * * * ?", new ConfigurationManager().GetValid<ScheduleOptions>(ScheduleOptions.Section).RetentionCron);
}
