using System.ComponentModel.DataAnnotations;
using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class SettingsExtensionsTests
{
    [Theory]
    [InlineData("Room:Seats", "0", "between 1 and 9")]
    [InlineData("Room:Seats", "many", "Room:Seats")]
    [InlineData("Room:Seat", "4", "There is no setting 'Seat' among RoomOptions")]
    public void A_setting_that_cannot_be_used_is_told_in_a_sentence(string key, string value, string told)
    {
        using var host = Host(key, value);
        using var errors = new StringWriter();

        Assert.False(host.HasUsableSettings(errors));

        Assert.Contains(told, errors.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Good_settings_are_passed_over_in_silence_and_other_faults_are_not_taken_for_settings()
    {
        using var good = Host("Room:Seats", "4");
        using var errors = new StringWriter();
        Assert.True(good.HasUsableSettings(errors));
        Assert.Empty(errors.ToString());

        using var broken = Host("Room:Seats", "4", services => services.AddOptions<RoomOptions>().Validate(_ => throw new InvalidOperationException("no such service")));
        Assert.Throws<InvalidOperationException>(() => broken.HasUsableSettings(errors));
    }

    [Theory]
    [InlineData("Room:Seats", "0", "Room: The field Seats must be between 1 and 9.")]
    [InlineData("Room:Seat", "4", "There is no setting 'Seat' among RoomOptions")]
    public void So_is_one_that_a_registration_asks_for(string key, string value, string told)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Configuration[key] = value;
        using var errors = new StringWriter();

        Assert.Null(builder.BuildWithUsableSettings(() => builder.Configuration.GetValid<RoomOptions>("Room"), errors));

        Assert.Contains(told, errors.ToString(), StringComparison.Ordinal);
        Assert.Equal(4, new ConfigurationManager { ["Room:Seats"] = "4" }.GetValid<RoomOptions>("Room").Seats);
    }

    private static IHost Host(string key, string value, Action<IServiceCollection>? more = null)
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection([KeyValuePair.Create(key, (string?)value)]);
        builder.Services.AddOptions<RoomOptions>().BindConfiguration("Room", binder => binder.ErrorOnUnknownConfiguration = true).ValidateDataAnnotations().ValidateOnStart();
        more?.Invoke(builder.Services);
        return builder.Build();
    }

    private sealed class RoomOptions
    {
        [Range(1, 9)]
        public int Seats { get; init; }
    }
}
