using System.Security.Cryptography;
using System.Text;
using AiAspire.Core.Tenancy;

namespace AiAspire.Unit.CoreTests.Tenancy;

public sealed class TenancyTests
{
    [Theory]
    [InlineData("*", "anything", true)]
    [InlineData("gpt-*", "gpt-4o", true)]
    [InlineData("gpt-*", "GPT-4o", true)]
    [InlineData("gpt-*", "gpt-", true)]
    [InlineData("gpt-*", "gpt", false)]
    [InlineData("gpt-*", "my-gpt-4o", false)]
    [InlineData("gpt-4o", "gpt-4o", true)]
    [InlineData("gpt-4o", "GPT-4O", true)]
    [InlineData("gpt-4o", "gpt-4o-mini", false)]
    [InlineData("gpt-4o", "gpt-4", false)]
    [InlineData("g*t", "gpt", false)]
    [InlineData("", "gpt", false)]
    [InlineData("", "", true)]
    [InlineData(".*", "gpt", false)]
    [Trait("Checklist", "AUTH-08")]
    public void A_pattern_names_one_or_all_that_begin_so(string pattern, string name, bool allowed)
    {
        var entitlements = SampleCalls.Unlimited with { Models = ["other", pattern], Features = [pattern] };

        Assert.Equal(allowed, entitlements.AllowsModel(name));
        Assert.Equal(allowed, entitlements.AllowsFeature(name));
    }

    [Fact]
    public void A_tier_without_patterns_allows_nothing()
    {
        var nothing = SampleCalls.Unlimited with { Models = [], Features = [] };

        Assert.False(nothing.AllowsModel("gpt-4o") || nothing.AllowsFeature("chat"));
    }

    [Fact]
    public void A_key_is_256_random_bits_that_scanners_know()
    {
        var keys = Enumerable.Range(0, 1000).Select(_ => ApiKeyFormat.Create()).ToList();

        Assert.Equal(1000, keys.Distinct(StringComparer.Ordinal).Count());
        Assert.All(keys, k => Assert.Matches("^sk-[A-Za-z0-9_-]{43}$", k));
        Assert.Equal(SHA256.HashData(Encoding.UTF8.GetBytes(keys[0])), ApiKeyFormat.Hash(keys[0]));
    }

    [Fact]
    public void What_is_shown_of_a_key_does_not_give_it_away()
    {
        var key = ApiKeyFormat.Create();

        Assert.Equal(10, ApiKeyFormat.Shown(key).Length);
        Assert.StartsWith(ApiKeyFormat.Shown(key), key, StringComparison.Ordinal);
        Assert.Equal("short", ApiKeyFormat.Shown("short"));
        Assert.Equal("", ApiKeyFormat.Shown(""));
    }

    [Fact]
    public void Development_keys_are_always_the_same_and_never_alike()
    {
        string[] all =
        [
            DevelopmentKeys.User("a", "x"), DevelopmentKeys.User("a", "y"), DevelopmentKeys.User("b", "x"),
            DevelopmentKeys.Tenant("a", "x"), DevelopmentKeys.Tenant("a", "y"), DevelopmentKeys.User("a", "tenant:x"), DevelopmentKeys.Tenant("a", ""),
        ];

        Assert.Equal(all.Length, all.Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(all[0], DevelopmentKeys.User("a", "x"));
        Assert.All(all, k => Assert.StartsWith("sk-dev-", k, StringComparison.Ordinal));
        // Tools outside this code base derive them too: the derivation may not change unnoticed.
        Assert.Equal(
            "sk-" + "dev-" + Convert.ToBase64String(HMACSHA256.HashData("a"u8, "user:x"u8)).TrimEnd('=').Replace('+', '-').Replace('/', '_'),
            all[0]);
    }

    [Fact]
    public void A_caller_has_exactly_the_roles_given()
    {
        var caller = SampleCalls.Caller() with { Roles = ["tenant_admin"] };

        Assert.True(caller.IsInRole(Roles.TenantAdmin));
        Assert.False(caller.IsInRole("Tenant_Admin") || caller.IsInRole(Roles.Operator) || caller.IsInRole("tenant"));
        Assert.Equal((caller.TenantId, caller.UserId), (caller.Scope.TenantId, caller.Scope.UserId!.Value));
    }
}
