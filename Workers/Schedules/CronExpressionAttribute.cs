using System.ComponentModel.DataAnnotations;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>A setting that is a Quartz cron expression: seconds first, and <c>?</c> for either day.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class CronExpressionAttribute : ValidationAttribute
{
    protected override ValidationResult? IsValid(object? value, ValidationContext validationContext) => value is string cron && CronExpression.TryParse(cron, out _)
        ? ValidationResult.Success
        : new ValidationResult(
            $"{validationContext.MemberName} is '{value}', which is no cron expression of Quartz's (second, minute, hour, day, month, weekday): '0 17 * * * ?' is every hour at minute 17.",
            [validationContext.MemberName!]);
}
